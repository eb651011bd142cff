"""What is asked beyond the paper's tables: does a measure add anything, on which set of architectures, to what other
truth, how sure is the best of many, and what does a search find with it."""
