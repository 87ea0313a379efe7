"""Parts of the lifters, their errors, conversion of weights, the offline road."""
