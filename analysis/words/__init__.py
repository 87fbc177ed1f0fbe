"""What a page says in words of people: the answer in two sentences, and the questions that readers have."""
