"""The optimisation: knows arrays and kernel values; knows no estimator, no labels, no X.

=============  =======================================================================================
`problem`      the convex problem in signed form, its solution, and the certificate
`solve`        one entry: problem in, certified solution out, with its counts of work
`distinct`     equal samples as one of their added weights
`growth`       classes that are apart, or one rare: the samples between them, and those that join them
`levels`       coarse to fine, single precision before double
`linear`       few features, known or found: interior steps in their dimension;  `smooth` who is near the margin there
`sparse`       many sparse features: pivots with conjugate gradients, no kernel matrix
`working_set`  the samples near the margin are solved, the others held and looked at
`active_set`   pivoting: every variable on the wrong side changes side at once
`together`     many problems at once on the samples of one source (`stack`): their `stack_interior` steps and
               `stack_pivots` in one array each
`interior`     the interior point method that finds the sides where pivoting does not settle
`kkt`          the optimality conditions for a guess of the sides;  `factor` their factors;  `buffer` memory
`smo`          pair steps with lam as a coordinate
`path`         one problem for many budgets;  `leave_one_out` decisions on each sample by the solution of all others
`feasibility`  C_min;  `work` what a solve took
=============  =======================================================================================
"""
