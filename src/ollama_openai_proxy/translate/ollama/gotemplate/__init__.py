"""Go's templates: https://pkg.go.dev/text/template."""
