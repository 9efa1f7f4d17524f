"""What a PDF carries to prove where its numbers come from; shared by writer and checker."""
