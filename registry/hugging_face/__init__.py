"""What is fetched from a Hugging Face Hub: its repositories, and the files of a commit."""
