"""What people look at: figures, and self-contained HTML pages made of them."""
