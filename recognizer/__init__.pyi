from .engine import Explanation as Explanation
from .engine import Recognizer as Recognizer
from .errors import RecognizerError as RecognizerError
from .guarded import GuardedRecognizer as GuardedRecognizer
from .imaging import ImageSource as ImageSource
from .imaging import Limits as Limits
from .imaging.thumbnail import draw_heatmap as draw_heatmap
from .known import KnownItems as KnownItems
from .model.bundle import Bundle as Bundle
from .model.bundle import load_bundle as load_bundle
from .policy.values import Decision as Decision
from .policy.values import KnownMatch as KnownMatch
from .policy.values import Lead as Lead
from .policy.values import Policy as Policy
from .policy.values import Triage as Triage
from .prediction import Prediction as Prediction
from .prediction import Region as Region
from .status import Reason as Reason
from .status import Status as Status
from .taxonomy import Taxonomy as Taxonomy
from .taxonomy import load_taxonomy as load_taxonomy

__version__: str
