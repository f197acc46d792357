"""``python -m mobula`` is the ``mobula`` command."""

from mobula._cli import main

main()
