"""What else the numbers of a search say: its candidates rated with another gamma (Table 8), how far the measures rank
alike, and how sure a value of flatness is.

Reads a search's candidates, or a supernet. Leaves a winner, tables of rank agreement and of standard errors.
"""
