"""Packets on paper and on the terminal: gathered from the record, said in a language, set.

    gather -> dossier -> printout (blocks) -> page (HTML) -> paper (PDF)

A printout is blocks that know nothing of HTML or terminals. Whatever came from outside is text in
them, or a picture that was decoded and encoded again: nothing of it is ever interpreted.
"""
