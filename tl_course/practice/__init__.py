"""Interview practice: question cards in English and Chinese. Importing it imports no framework."""
