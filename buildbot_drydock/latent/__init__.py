"""The kinds of blueprints, and the latent workers that lease from them."""
