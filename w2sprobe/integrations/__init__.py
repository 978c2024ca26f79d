"""w2sprobe in other tools; each file needs the package of its tool, when it is used."""
