"""What is handed on with a paper, so that others and their programs can read how it came about.

    crate      a folder with an RO-Crate: paper, record, data sets as Croissant, CITATION.cff
    bundle     the same with the code at the run's commit, as a zip for an archive or reviewers

Everything comes from the paper's trail and the stored record; nothing is measured or trained.
"""
