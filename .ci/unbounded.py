"""Print what pyproject.toml asks for without its upper bounds, one requirement a line; arguments: extras to add.

`make test-newest` installs this: what breaks there today breaks our users when the bound is raised, or was never set.
"""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = [requirement for name in sys.argv[1:] for requirement in project["optional-dependencies"][name]]
for requirement in [*project["dependencies"], *extras]:
    print(re.sub(r",?\s*<=?[^,;]*", "", requirement))
