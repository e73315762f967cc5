"""All resources together: names looked up, objects at odds refused, an Intent made of the rest."""
