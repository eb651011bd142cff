"""What a profile's folder says: each row's numbers, curves and files, and the board of retrained networks.

Read by the report, the tracking, the model card and the terminal, so that all of them say the same.
"""
