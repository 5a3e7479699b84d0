from recognizer.engine import Explanation as Explanation
from recognizer.engine import Recognizer as Recognizer
from recognizer.errors import RecognizerError as RecognizerError
from recognizer.guarded import GuardedRecognizer as GuardedRecognizer
from recognizer.imaging import ImageSource as ImageSource
from recognizer.imaging import Limits as Limits
from recognizer.imaging.thumbnail import draw_heatmap as draw_heatmap
from recognizer.known import KnownItems as KnownItems
from recognizer.model.bundle import Bundle as Bundle
from recognizer.model.bundle import load_bundle as load_bundle
from recognizer.policy.values import Decision as Decision
from recognizer.policy.values import KnownMatch as KnownMatch
from recognizer.policy.values import Lead as Lead
from recognizer.policy.values import Policy as Policy
from recognizer.policy.values import Triage as Triage
from recognizer.prediction import Prediction as Prediction
from recognizer.prediction import Region as Region
from recognizer.prediction import prediction_schema as prediction_schema
from recognizer.status import Reason as Reason
from recognizer.status import Status as Status
from recognizer.taxonomy import Taxonomy as Taxonomy
from recognizer.taxonomy import load_taxonomy as load_taxonomy

__version__: str
