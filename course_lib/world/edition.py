"""Which world is this? Measured numbers carry its hash, so that no picture mixes two worlds."""

import hashlib
import json
from functools import cache
from itertools import chain

from course_lib.world.dialogues import TEST_KINDS, dialogues, rl_prompts, test_prompts
from course_lib.world.documents import documents, held_out_documents


@cache
def world_hash() -> str:
    """Twelve hexadecimal digits of what this world writes, asks and answers.

    Other code that writes the same has the same hash; a new fact, wording or share has another.
    """
    said = chain(
        documents(300, seed=0),
        held_out_documents(30, seed=0),
        map(json.dumps, dialogues(300, seed=0)),
        (prompt.text for prompt in rl_prompts(300, seed=0)),
        (prompt.text for kind in TEST_KINDS for prompt in test_prompts(kind)),
    )
    return hashlib.sha256("\0".join(said).encode()).hexdigest()[:12]
