"""Train one experiment, or with -m a sweep of them: `python -m mnist_exp.run model.dropout=0.5`.

A script. Nothing imports it: that would bind `mnist_exp.run`, which is a function, to this module.
"""

import sys

from mnist_exp.jobs import fork_server

if __name__ == "__main__":
    try:
        fork_server.expect(sys.argv[1:])  # It imports TensorFlow while this process imports Hydra.
        from mnist_exp.run_command import main
    except KeyboardInterrupt:
        fork_server.end()
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    main()
