"""Stage 3: parameters, signal and allocation; one definition, compiled, three drivers."""
