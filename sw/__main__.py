"""``python -m relaxon`` is the program ``relaxon``."""

from relaxon.entry import main

main()
