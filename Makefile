# All that a contributor needs: `make demo` and `make test` set everything up by themselves.
.PHONY: lock

COMPILE := uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --quiet

lock: ## Resolve the versions named in pyproject.toml into the hash-locked requirements files
	$(COMPILE) --python-version 3.11 pyproject.toml --output-file requirements.txt
	$(COMPILE) --python-version 3.13 --group layer --output-file functions/requirements.txt
	$(COMPILE) --python-version 3.11 pyproject.toml --group layer --group dev --output-file requirements-dev.txt
