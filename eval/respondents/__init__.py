"""Who people are and what they answered: national shares, survey files, made-up samples."""
