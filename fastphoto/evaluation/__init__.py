"""Numbers: measures of a result, and scores relative to a reference."""

from fastphoto.evaluation.measures import Measures, ReferencePair, measure
from fastphoto.evaluation.scores import PUBLISHED, Evaluation, Scores, evaluate, score_measures

__all__ = ["PUBLISHED", "Evaluation", "Measures", "ReferencePair", "Scores", "evaluate", "measure", "score_measures"]
