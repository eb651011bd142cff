"""MLflow, a view of what runs and what has run: no stage reads from it; all of it can be made again from ``out``.

``mlflow`` knows the framework, ``live`` follows a row, in the row's own process or in a ``tracker`` for a whole run, to
which the row has ``told`` everything. ``board`` keeps the leaderboard and rebuilds everything, ``registry`` the
registered models, ``network`` is a network as a logged model, ``views`` what the pages show.
"""
