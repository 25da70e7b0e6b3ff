"""What a chapter is to the tools: its cells, rules, links, and its place in the book."""
