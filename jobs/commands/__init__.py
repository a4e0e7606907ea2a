"""The commands as a terminal sees them: options, help, what is printed.

Each imports what it does when it runs, so that help, completion and a wrong call take no seconds.
"""
