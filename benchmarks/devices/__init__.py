"""Every kind of step on a device and on the CPU: do the numbers agree, and how fast is it (``genas doctor --gpu``)?"""
