package main

import (
	"github.com/spf13/cobra"

	"kith/internal/sample"
)

func sampleCommand() *cobra.Command {
	var rows int
	var seed uint64
	var o sample.Options
	cmd := &cobra.Command{
		Use: "sample", Short: "Write a realistic CSV file of customers to standard output", Args: cobra.NoArgs,
		Long: `Write a realistic CSV file of customers: accents, quoted commas and newlines, missing cells, repeated customers, phones and
e-mails in several formats. The same rows and seed give the same file.`,
		Example: "  kith sample --rows 100000 > customers.csv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rows < 0 || rows > 1<<31 {
				return usageError("--rows must be between 0 and 2147483648")
			}
			if o.Phones != "" && o.Phones != "clean" && o.Phones != "half" {
				return usageError("--phones must be clean or half")
			}
			return sample.WriteWith(cmd.OutOrStdout(), rows, seed, o)
		},
	}
	cmd.Flags().IntVar(&rows, "rows", 1000, "number of data rows")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed")
	cmd.Flags().BoolVar(&o.InOrder, "in-order", false, "customers in the order of their ids")
	cmd.Flags().StringVar(&o.Phones, "phones", "", "clean: all as +1…; half: every other one as people write them (default: most of them)")
	return cmd
}
