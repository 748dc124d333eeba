"""`python -m punctum.runtime.site.engine FD`: started by the supervisor."""

from ..child import run_child
from .process import main

if __name__ == "__main__":
    run_child(main)
