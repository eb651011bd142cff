"""The fault laboratory: malformed inputs, kills and full disks against the real entry points, and what comes of them.

``python -m tests.faults`` (or ``make faults``) runs it whole and writes ``docs/reliability.md``; its exit status is 1
where anything was found. Inputs are data, a module for each family; ``running`` calls entry points, ``judging`` says
what is wrong with how a call ended, ``kills`` and ``disk`` are the other two parts, ``page`` is the table.
"""
