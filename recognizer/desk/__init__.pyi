from recognizer.desk.outcomes import MAX_CHARACTERS as MAX_CHARACTERS
from recognizer.desk.outcomes import Judgement as Judgement
from recognizer.desk.outcomes import Outcome as Outcome
from recognizer.desk.outcomes import Outcomes as Outcomes
from recognizer.desk.page import write_report as write_report
