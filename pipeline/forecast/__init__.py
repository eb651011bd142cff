"""The phase ``forecast``: what a row will cost, before it starts.

What a row has to do follows from ``params.yaml`` alone and is arithmetic (``work``): so many steps of so many kinds.
How long one takes is measured here (``calibration``) or follows from a device's published figures (``devices``).
Which rows run when on several devices is simulated (``schedule``). Leaves nothing but the calibration.
"""
