"""The paper's questions as programs: each module answers one and leaves table, plot and finding in `docs/studies/NAME`."""
