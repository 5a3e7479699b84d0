from .outcomes import MAX_CHARACTERS as MAX_CHARACTERS
from .outcomes import Judgement as Judgement
from .outcomes import Outcome as Outcome
from .outcomes import Outcomes as Outcomes
from .page import write_report as write_report
