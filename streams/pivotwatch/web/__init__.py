"""The live page: releases, open incidents with their evidence, and decisions on them."""
