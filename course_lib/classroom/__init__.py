"""The class votes: phones guess, judge answers and say whether they are stuck; a board shows it.

`opening` starts the server in a process of its own, `reach` tells whether phones can get to it,
`joining` takes a learner's notebook in. Inside, `room` decides what may be voted when, with what
`rounds` can ask; `store` keeps it, `tally` counts and scores it, `exchange` gives it away. Only
`server` and `limits` know the web; the pages are in `page/`. `practice` lets the votes change the
assistant; `prepare` writes what our models say, beforehand.
"""

from course_lib.classroom.joining import join as join
from course_lib.classroom.joining import leave as leave
from course_lib.classroom.opening import close_room as close_room
from course_lib.classroom.opening import open_room as open_room
from course_lib.classroom.opening import show_changes as show_changes
