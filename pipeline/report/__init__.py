"""The phase ``report``: the paper's tables and figures with our numbers beside theirs (Tables 2, 3, 4 and 8,
Figures 3 and 4).

Reads what every row left, trains nothing. Leaves a page as Markdown and HTML, pictures and tables as CSV; the
laboratory has a page of its own (Tables 1, 5, 6 and 7, Figure 2).
"""
