from recognizer.desk.outcomes import MAX_CHARACTERS as MAX_CHARACTERS
from recognizer.desk.outcomes import Judgement as Judgement
from recognizer.desk.outcomes import Outcome as Outcome
from recognizer.desk.outcomes import Outcomes as Outcomes
from recognizer.desk.page import write_report as write_report
from recognizer.desk.thresholds import LabelledPhoto as LabelledPhoto
from recognizer.desk.thresholds import choose as choose
from recognizer.desk.thresholds import measure_labelled as measure_labelled
