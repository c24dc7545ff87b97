"""Keys, seals, certificates and what they prove. Imports schemas only; reads keys, nothing else."""
