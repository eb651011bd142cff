"""GeNAS as one package. Its rooms are folders of their own: in a checkout they lie beside this one, by links.

:mod:`genas.models` are the architectures, :mod:`genas.pipeline` the stages, :mod:`genas.flows` what runs and shows
them, :mod:`genas.benchmarks` what measures their speed.
"""
