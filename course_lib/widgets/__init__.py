"""Everything that you click, drag or type into in a notebook.

A widget is a thin shell: the numbers come from the rooms below, and a page (`.js` and `.css` beside
the module, or stock ipywidgets) shows them. Start with `sizes`, one of the smallest. Without a
kernel each shows a picture or a text instead (`shell`). The explorer is the largest:
`explorer_state` computes, `explorer_view` tells the page what to draw, `explorer` ties the two
together.
"""

from course_lib.check import skip as skip
from course_lib.widgets.answers import answers as answers
from course_lib.widgets.chat import chat as chat
from course_lib.widgets.explorer import explorer as explorer
from course_lib.widgets.forecast import compare as compare
from course_lib.widgets.forecast import run_out as run_out
from course_lib.widgets.game import guessing_game as guessing_game
from course_lib.widgets.guess import behind as behind
from course_lib.widgets.guess import guess as guess
from course_lib.widgets.heads import head_browser as head_browser
from course_lib.widgets.live import train_live as train_live
from course_lib.widgets.quiz import quiz as quiz
from course_lib.widgets.rank import ranker as ranker
from course_lib.widgets.replay import replay as replay
from course_lib.widgets.sizes import sizes as sizes
from course_lib.widgets.teach import teach as teach
