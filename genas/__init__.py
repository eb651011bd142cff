"""GeNAS as one package: its rooms are the folders of the same name beside it (links in a checkout)."""
