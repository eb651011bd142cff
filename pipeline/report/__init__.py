"""The phase ``report``: what was found, and the paper's tables and figures (Tables 2, 3, 4 and 8, Figures 3 and 4).

Reads what every row left, trains nothing. Leaves a page as Markdown and as one HTML file, pictures and tables as CSV. A
laboratory has a page of its own besides (Tables 1, 5, 6 and 7, Figure 2), whose first tables the report shows.
"""
