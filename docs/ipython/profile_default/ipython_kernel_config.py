"""Settings of the kernels that run the tutorial and the notebooks, instead of the user's."""

c = get_config()  # noqa: F821  IPython defines it
c.HistoryManager.enabled = False
c.IPKernelApp.log_level = 40  # errors: a warning is about connections over TCP
