from .expansion import expand as expand
from .items import Item as Item
from .items import Shard as Shard
from .items import Skipped as Skipped
from .options import ScanOptions as ScanOptions
from .options import WorkerPayload as WorkerPayload
from .pool import worker_count as worker_count
from .run import scan as scan
