from recognizer.scan.expansion import expand as expand
from recognizer.scan.items import Item as Item
from recognizer.scan.items import Shard as Shard
from recognizer.scan.items import Skipped as Skipped
from recognizer.scan.machine import worker_count as worker_count
from recognizer.scan.options import ScanOptions as ScanOptions
from recognizer.scan.options import WorkerPayload as WorkerPayload
from recognizer.scan.run import scan as scan
