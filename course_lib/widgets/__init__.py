"""Widgets: thin shells over pure functions, each with a picture for readers without a kernel."""

from course_lib.widgets.chat import chat as chat
from course_lib.widgets.explorer import explorer as explorer
from course_lib.widgets.forecast import run_out as run_out
from course_lib.widgets.game import guessing_game as guessing_game
from course_lib.widgets.live import train_live as train_live
from course_lib.widgets.rank import ranker as ranker
from course_lib.widgets.sizes import sizes as sizes
from course_lib.widgets.teach import teach as teach
