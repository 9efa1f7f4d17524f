"""A paper for other programs: LaTeX for publishers, Word for co-authors, both by pandoc.

    source ─▶ words spoken, as for the PDF ─▶ HTML ─▶ pandoc's tree ─▶ main.tex, or a .docx
              report                     manuscript   manuscript      latex        word

What is said, checked and refused is what the PDF says, checks and refuses.
"""
