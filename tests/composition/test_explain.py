"""Every mistake gives exit code 2 and a message with name, value and fix; no run, no heavy import."""

import gzip
import itertools
import json
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mnist_exp.errors import BusyError
from mnist_exp.runtime.terminal import print_problems
from mnist_exp.tracking.run_folder import RunFolder

RUN_ID = "0123456789abcdef" * 2
MISTAKES = {
    "dropout above its range": ("model.dropout=1.5", "model.dropout=1.5", "at least 0 and below 1"),
    "dropout below its range": ("model.dropout=-0.1", "model.dropout=-0.1", "at least 0 and below 1"),
    "typo in an option": ("model.dorpout=0.5", "model.dorpout does not exist", "did you mean model.dropout?"),
    "typo in an added option": ("+model.dorpout=0.5", "model.dorpout does not exist", "did you mean model.dropout?"),
    "typo in a trainer option": ("trainer.epoch=3", "trainer.epoch does not exist", "did you mean trainer.epochs?"),
    "typo in a section": ("trianer.epochs=3", "trianer.epochs does not exist", "did you mean trainer?"),
    "option without its section": ("dropout=0.5", "dropout does not exist", "did you mean model.dropout?"),
    "epochs without their section": ("epochs=3", "did you mean trainer.epochs?"),
    "usual short name": ("lr=0.1", "did you mean optimizer.learning_rate?"),
    "usual short name in its section": ("optimizer.lr=0.1", "did you mean optimizer.learning_rate?"),
    "batches without their section": ("batch_size=64", "did you mean trainer.batch_size?"),
    "typo without its section": ("learning_rte=1", "did you mean optimizer.learning_rate?"),
    "section in British English": ("optimiser=adam", "did you mean optimizer?"),
    "number of layers": (
        "model.layers=2",
        "model=convnet model.filters=[16,32]",
        "model=mlp model.hidden_units=[128,64]",
    ),
    "data set without its file": ("data=image_folder", "data.path is missing: it must be text: the folder"),
    "option of a preset that another choice lacks": (
        "experiment=fast loss=auto",
        "experiment=fast sets it: ~loss.label_smoothing leaves it out",
    ),
    "typo beside a preset": ("experiment=fast loss.label_smoothin=1", "did you mean loss.label_smoothing?"),
    "typo in a group": ("modle=mlp", "modle does not exist", "did you mean model?"),
    "added section": ("+foo.bar=1", "foo does not exist"),
    "text for a number": ("trainer.epochs=abc", "trainer.epochs=abc", "a whole number, at least 1"),
    "no epochs": ("trainer.epochs=0", "trainer.epochs=0", "at least 1"),
    "negative batch": ("trainer.batch_size=-1", "trainer.batch_size=-1", "at least 1"),
    "fraction of a filter": ("model.filters=2.5", "model.filters=2.5", "a whole number"),
    "true for a number": ("model.filters=true", "model.filters=true", "a whole number"),
    "null for a number": ("model.filters=null", "model.filters=null", "a whole number"),
    "nothing for a number": ("model.dropout=", "model.dropout=''", "a number"),
    "infinite rate": ("optimizer.learning_rate=inf", "optimizer.learning_rate=inf", "a number above 0"),
    "NaN rate": ("optimizer.learning_rate=nan", "optimizer.learning_rate=nan", "a number above 0"),
    "negative rate": ("optimizer.learning_rate=-1", "optimizer.learning_rate=-1", "a number above 0"),
    "argument not configured": ("optimizer.clipnorm=1", "add it with +optimizer.clipnorm=1"),
    "two kinds of clipping": (
        "+optimizer.clipnorm=1 optimizer.global_clipnorm=1",
        "optimizer.clipnorm=1.0 and optimizer.global_clipnorm=1.0",
    ),
    "kernel larger than the image": ("data=mnist_5k model.kernel_size=99", "model.kernel_size=99", "at most 28"),
    "pool larger than its input": ("data=mnist_5k model.pool_size=25", "model.pool_size=25", "at most 24"),
    "unknown activation": ("model.activation=rellu", "model.activation=rellu", "one of relu"),
    "empty list": ("model=mlp model.hidden_units=[]", "model.hidden_units=[]", "a list of at least 1"),
    "bad item of a list": ("model=mlp model.hidden_units=[0]", "model.hidden_units=[0]", "at least 1"),
    "unknown model": ("model=cnnn", "model=cnnn does not exist", "did you mean model=cnn?", "lenet5, mlp, resnet"),
    "unknown optimizer": ("optimizer=adamm", "optimizer=adamm does not exist", "did you mean optimizer=adam?"),
    "unknown experiment": ("experiment=foo", "experiment=foo does not exist", "overfit_one_batch"),
    "group set to null": ("model=null", "model=null", "one of backbone, cnn"),
    "group removed": ("~model", "model is missing", "model=NAME"),
    "group set to a value": ("+model.filters.x=1", "model.filters"),
    "forbidden target": ("model._target_=os.system", "model._target_=os.system is not allowed", "trusted_modules"),
    "forbidden optimizer": ("optimizer._target_=keras.saving.load_model", "is not allowed", "keras.optimizers.*"),
    "target of another kind": ("model._target_=keras.optimizers.Adam", "is not allowed"),
    "target that is no name": ("model._target_='a b'", "model._target_=a b is not allowed", "dotted name"),
    "trusted module that is missing": (
        "model._target_=no_such_pkg.net trusted_modules=[no_such_pkg]",
        "there is no module no_such_pkg",
    ),
    "negative seed": ("seed=-1", "seed=-1", "at least 0"),
    "unknown objective": ("objective=val_acc", "objective=val_acc", "one of val_accuracy"),
    "direction against the objective": ("objective=val_loss", "direction=maximize", "it must be minimize"),
    "selection on the test set": ("trainer.restore_best=true", "select on the test set", "data.validation=0.1"),
    "stopping on the test set": ("trainer.early_stopping_patience=2", "select on the test set"),
    "unknown precision": ("trainer.precision=float8", "trainer.precision=float8", "mixed_bfloat16"),
    "validation that is no share": (
        "data.validation=5.5",
        "data.validation=5.5",
        "a share of them above 0 and below 1",
    ),
    "validation that takes all": ("data=mnist_5k data.validation=4000", "data.validation=4000", "one left"),
    "limit above the data": ("data=mnist_5k data.limit=4001", "data.limit=4001", "4,000 training images"),
    "no such file": ("data=npz data.path=/no/such", "data.path=/no/such does not exist"),
    "no file": ("data=npz", "data.path is missing"),
    "no data and no fallback": ("data.fallback=false data.mirrors=[]", "data=mnist was not found"),
    "no word": ("foo", "foo cannot be read", "option=value"),
    "open bracket": ("model.dropout=[1", "model.dropout=[1 cannot be read"),
    "sweep without -m": ("model.filters=16,32", "model.filters=16,32", "-m"),
    "no such folder of configurations": ("--config-dir /no/such", "--config-dir=/no/such is not a folder"),
    "another primary configuration": ("--config-name other", "--config-name is not supported", "--config-dir"),
    "callback of Hydra": ("+hydra.callbacks.x._target_=shutil.copy", "hydra.callbacks.x is not allowed"),
    "trusted module of Python's own": ("trusted_modules=[subprocess]", "'subprocess' is not allowed", "my_pkg"),
    "schedule without a rate": ("~optimizer.learning_rate schedule=cosine", "schedule=cosine has nothing to change"),
    "mistake with --cfg": ("--cfg job model=cnnn", "model=cnnn does not exist"),
    "mistake with --help": ("--help model=cnnn", "model=cnnn does not exist"),
    "mistake late in a sweep": ("-m model.filters=1,2,0", "job 3 of 3: model.filters=0 is not allowed"),
    "mistake in a range of a sweep": ("-m model.dropout=0.1,1.5", "job 2 of 2: model.dropout=1.5"),
    "unknown choice in a sweep": ("-m model=cnn,mlpp", "job 2 of 2: model=mlpp does not exist", "model=mlp"),
    "pruner without a search": ("-m model.filters=1,2 sweep.pruner=asha", "sweep.pruner=asha needs a search"),
    "time limit of a grid": ("-m model.filters=1,2 sweep.timeout_s=9", "sweep.timeout_s=9.0 needs a search"),
    "option of sweeps without -m": ("sweep.dry_run=true", "sweep.dry_run=true is for sweeps: add -m, or leave it out"),
    "interval the wrong way": ("-m model.dropout=interval(0.5,0.1)", "its start 0.5 must be below its end 0.1"),
    "end of an interval": (
        "-m model.dropout=interval(0.1,1.5) data.validation=0.1",
        "corner 2 of 2: model.dropout=1.5",
    ),
    "search on the test set": (
        "-m model.dropout=interval(0.1,0.5)",
        "would select on the test set",
        "data.validation=0.1",
    ),
    "nothing to search": ("-m sweep.sampler=tpe", "sweep.sampler=tpe has nothing to search"),
    "two objectives and a pruner": (
        "-m model.filters=1,2 sweep.sampler=tpe sweep.pruner=asha sweep.minimize_too=parameters",
        "sweep.pruner=asha cannot judge trials by two objectives",
    ),
    "unknown sampler": ("-m model.filters=1,2 sweep.sampler=tpee", "sweep.sampler=tpee is not allowed", "tpe, random"),
    "unknown option of a sweep": (
        "-m model.filters=1,2 sweep.trials=3",
        "sweep.trials",
        "did you mean sweep.n_trials?",
    ),
    "unknown preset": ("-m sweep=serch", "did you mean sweep=search?"),
    "lists of different lengths zipped": (
        "-m seed=1,2 model.filters=1,2,3 sweep.zip=true",
        "seed has 2, model.filters has 3",
    ),
    "bad point": ("-m sweep.points=[{model.filters:0}]", "job 1 of 1: model.filters=0 is not allowed"),
    "points that are none": ("-m sweep.points=3", "sweep.points=3 is not allowed", "a list of combinations"),
    "sweep over the store": ("-m tracking.experiment=a,b", "tracking.experiment cannot be swept over"),
    "no worker": ("-m seed=1,2 hydra.launcher.n_workers=0", "hydra.launcher.n_workers=0 is not allowed", "at least 1"),
    "typo in a launcher's option": ("-m seed=1,2 hydra.launcher.n_worker=2", "did you mean hydra.launcher.n_workers?"),
    "launcher that is not installed": (
        "-m seed=1,2 hydra/launcher=slurmm",
        "hydra/launcher=slurmm does not exist",
        "local",
    ),
    "job time-out elsewhere": ("-m seed=1,2 hydra/launcher=basic sweep.job_timeout_s=9", "needs hydra/launcher=local"),
    "kernel too large late in a sweep": ("-m model.kernel_size=3,29", "kernel_size=29: model.kernel_size=29 is larger"),
    "limit too high late in a sweep": (
        "-m data=mnist_5k data.limit=10,4001",
        "limit=4001: data.limit=4001 is more than",
    ),
    "folder of a sweep that cannot be written": (
        "-m seed=1,2 data.validation=0.1 hydra.sweep.dir=/proc/x",
        "change it with hydra.sweep.dir",
    ),
    "study that cannot be opened": (
        "-m model.dropout=interval(0.1,0.5) data.validation=0.1 sweep.storage=nope://x",
        "sweep.storage=nope://x cannot be used",
    ),
    "output folder that cannot be written": ("hydra.run.dir=/proc/x", "output folder cannot be written", "/proc/x"),
    "server that does not answer": (
        "tracking.uri=http://127.0.0.1:9",
        "tracking.uri=http://127.0.0.1:9: nothing answers",
    ),
    "password in an address": ("tracking.uri=http://me:pass@127.0.0.1:9", "http://***@127.0.0.1:9: nothing answers"),
    "database that does not answer": ("tracking.uri=postgresql://127.0.0.1:9/x", "nothing answers"),
    "folder as a store": ("tracking.uri=/tmp/runs", "tracking.uri=/tmp/runs", "sqlite:///FILE.db"),
    "unknown kind of store": ("tracking.uri=ftp://x", "tracking.uri=ftp://x is not understood"),
    "store in a folder that is missing": ("tracking.uri=sqlite:////no/such/x.db", "there is no folder /no/such"),
    "store that cannot be written": ("tracking.uri=sqlite:////proc/x.db", "tracking.uri=sqlite:////proc/x.db"),
    "store that is no database": ("tracking.uri=sqlite:///text.db", "is not an SQLite database"),
    "experiment without a name": ("tracking.experiment=''", "tracking.experiment=''", "a name"),
    "huge number of epochs": ("trainer.epochs=99999999999999999999999", "trainer.epochs=999", "of at most 18 digits"),
    "number of 5,000 digits": ("seed=" + "9" * 5000, "seed=999", "cannot be read", "4,300 digits"),
    "exponent for a whole number": ("trainer.epochs=1e3", "trainer.epochs=1000.0", "did you mean trainer.epochs=1000?"),
    "quotes around a number": (["model.filters='32'"], "model.filters='32'", "did you mean model.filters=32?"),
    "brackets around a number": ("model.filters=[32]", "model.filters=[32]", "did you mean model.filters=32?"),
    "section for a number": ("model.filters={a:1}", "model.filters={'a': 1}", "a whole number"),
    "quotes around true": (
        ["trainer.restore_best='True'"],
        "did you mean trainer.restore_best=true?",
    ),
    "yes for true": ("data.fallback=no", "data.fallback=no", "did you mean data.fallback=false?", "true or false"),
    "capital letters in a choice of words": ("model.activation=ReLU", "did you mean model.activation=relu?"),
    "capital letters in a choice": ("model=CNN", "did you mean model=cnn?"),
    "number for a list": ("model=mlp model.hidden_units=512", "did you mean model.hidden_units=[512]?", "a list"),
    "word in a list": ("model=mlp model.hidden_units=[512,abc]", "[512, 'abc']", "each a whole number, at least 1"),
    "option of another model": (
        "model=mlp model.filters=3",
        "model.filters does not exist here",
        "model=cnn and model=convnet and model=resnet",
    ),
    "dropout of mlp": ("model=mlp model.dropout=1", "model.dropout=1 is not", "at least 0 and below 1"),
    "dropout of lenet5": ("model=lenet5 model.dropout=-1", "model.dropout=-1", "at least 0 and below 1"),
    "activation of lenet5": ("model=lenet5 model.activation=tahn", "did you mean model.activation=tanh?"),
    "stage without a block": ("model=resnet model.blocks=[2,0,2]", "model.blocks=[2, 0, 2]", "a list of at least 1"),
    "channels of resnet": ("model=resnet model.filters=0", "model.filters=0", "at least 1"),
    "hidden layer without units": ("model.dense_units=0", "model.dense_units=0", "at least 1"),
    "no kernel": ("model.kernel_size=0", "model.kernel_size=0", "at least 1"),
    "no pool": ("model.pool_size=0", "model.pool_size=0", "at least 1"),
    "decay of the mean": ("optimizer.beta_1=1", "optimizer.beta_1=1", "at least 0 and below 1"),
    "decay of the squares": ("optimizer=adamw optimizer.beta_2=1.1", "optimizer.beta_2=1.1", "at least 0 and below 1"),
    "weight decay below zero": ("optimizer=adamw optimizer.weight_decay=-1", "optimizer.weight_decay=-1", "at least 0"),
    "momentum of SGD": ("optimizer=sgd optimizer.momentum=1", "optimizer.momentum=1", "at least 0 and below 1"),
    "Nesterov that is no switch": ("optimizer=sgd optimizer.nesterov=1", "optimizer.nesterov=1", "true or false"),
    "option of another optimizer": ("optimizer=sgd optimizer.beta_1=0.9", "optimizer.beta_1", "optimizer=adam"),
    "decay of RMSprop": ("optimizer=rmsprop optimizer.rho=-1", "optimizer.rho=-1", "at least 0 and below 1"),
    "rate of zero": ("optimizer=nadam optimizer.learning_rate=0", "optimizer.learning_rate=0", "above 0"),
    "clipping to nothing": ("optimizer=lion optimizer.global_clipnorm=0", "global_clipnorm=0", "above 0 or null"),
    "added epsilon of zero": ("+optimizer.epsilon=0", "optimizer.epsilon=0", "a number above 0"),
    "accumulation of one step": ("+optimizer.gradient_accumulation_steps=1", "steps=1", "at least 2"),
    "moving average that stands still": ("+optimizer.ema_momentum=1", "optimizer.ema_momentum=1", "below 1"),
    "name of an optimizer that is a number": ("+optimizer.name=3", "optimizer.name=3", "must be text"),
    "scale of the loss": ("+optimizer.loss_scale_factor=abc", "loss_scale_factor=abc", "a number above 0 or null"),
    "all warm-up": ("schedule=cosine schedule.warmup=1", "schedule.warmup=1", "at least 0 and below 1"),
    "final share of a cosine": ("schedule=cosine schedule.final=-1", "schedule.final=-1", "at least 0 and below 1"),
    "no warm-up of one cycle": ("schedule=one_cycle schedule.warmup=0", "schedule.warmup=0", "above 0 and below 1"),
    "initial share of one cycle": (
        "schedule=one_cycle schedule.initial=0",
        "schedule.initial=0",
        "above 0 and below 1",
    ),
    "final share of an exponential": (
        "schedule=exponential schedule.final=0",
        "schedule.final=0",
        "above 0 and below 1",
    ),
    "option of no schedule": ("schedule.final=0.1", "schedule.final does not exist", "schedule=cosine"),
    "added option of no schedule": ("+schedule.final=0.1", "schedule.final does not exist", "no options"),
    "two things that lower the rate": (
        "schedule=cosine trainer.plateau_patience=2 data.validation=0.1",
        "trainer.plateau_patience=2 cannot change the rate of schedule=cosine",
    ),
    "shift over the whole height": ("augment=shift augment.height=1", "augment.height=1", "at least 0 and below 1"),
    "shift to the other side": ("augment=shift augment.width=-0.1", "augment.width=-0.1", "at least 0 and below 1"),
    "more than a full turn": ("augment=affine augment.rotation=2", "augment.rotation=2", "at least 0 and below 1"),
    "zoom to nothing": ("augment=affine augment.zoom=1", "augment.zoom=1", "at least 0 and below 1"),
    "shift as a pair": ("augment=affine augment.shift=[0.1,0.1]", "augment.shift=[0.1, 0.1]", "a number"),
    "shear in words": ("augment=affine augment.shear=abc", "augment.shear=abc", "a number"),
    "option of no augmentation": ("augment.height=0.1", "augment.height does not exist", "augment=shift"),
    "checkpoints never and always": ("trainer.checkpoint_every=0", "trainer.checkpoint_every=0", "at least 1 or null"),
    "plateau that changes nothing": ("trainer.plateau_factor=1", "trainer.plateau_factor=1", "above 0 and below 1"),
    "patience of zero": ("trainer.early_stopping_patience=0", "patience=0", "at least 1 or null"),
    "patience on a plateau": ("trainer.plateau_patience=0", "trainer.plateau_patience=0", "at least 1 or null"),
    "no threads": ("trainer.threads=0", "trainer.threads=0", "at least 1 or null"),
    "unknown tracker": ("tracking.store=wandb", "tracking.store=wandb", "one of mlflow, none"),
    "name of a run that is a number": ("tracking.run_name=5", "tracking.run_name=5", "text or null"),
    "folder of checkpoints that cannot be written": (
        "data=mnist_5k tracking.local_dir=/proc/x",
        "change tracking.local_dir",
    ),
    "no images": ("data.limit=0", "data.limit=0", "at least 1 or null"),
    "validation on the training set": ("data.validation=train", "data.validation=train", "must be test, own, a number"),
    "two channels": ("data=image_folder data.path=. data.channels=2", "data.channels=2", "one of 1, 3"),
    "one side of an image": ("data=image_folder data.path=. data.size=28", "data.size=28", "a height and a width"),
    "all images for the test": ("data=image_folder data.path=. data.test_share=1", "data.test_share=1", "below 1"),
    "address for a list of addresses": (["data.mirrors='http://x'"], "did you mean data.mirrors=['http://x']?"),
    "data set without a name": ("data.name=null", "data.name=null", "must be text"),
    "value left open": ("data.path=???", "data.path is left open (???)"),
    # What people type.
    "blank before the =": (["model.filters =16"], "model.filters =16 cannot be read", "did you mean model.filters=16?"),
    "blanks around the =": (["model.filters = 16"], "did you mean model.filters=16?"),
    "colon for the =": ("model.filters:16", "did you mean model.filters=16?"),
    "option without a value": ("model.filters", "model.filters cannot be read", "the form is option=value"),
    "value without an option": ("=16", "=16 cannot be read", "the form is option=value"),
    "dash before an option": ("-model.filters=16", "-model.filters=16 is not a flag", "did you mean model.filters=16?"),
    "dashes before an option": ("--epochs=5", "--epochs=5 is not a flag", "did you mean trainer.epochs=5?"),
    "dashes and a blank": ("--epochs 5", "--epochs is not a flag", "did you mean trainer.epochs=VALUE?"),
    "unknown flag": ("--lr", "--lr is not a flag", "options are written without dashes"),
    "typo in a flag": ("--mulitrun seed=1", "--mulitrun does not exist", "did you mean --multirun?"),
    "flag without its value": ("--config-dir", "--config-dir needs a value"),
    "flag without one of its values": ("--cfg", "--cfg needs a value: it must be job, hydra or all"),
    "flag with a wrong value": ("--cfg jbo", "--cfg=jbo is not allowed: did you mean job?"),
    "flag that takes no value": ("--json=true", "--json takes no value: write --json"),
    "shortened flag": ("--js", "--js does not exist: did you mean --json?"),
    "shortened flag of Hydra": ("--conf x", "--conf does not exist: did you mean --config-dir?"),
    "flag as an option": ("json=true", "json does not exist: did you mean --json?"),
    "flag behind two dashes": ("-- --json", "--json comes after --: write flags before it"),
    "unknown flag behind two dashes": ("-- --foo", "--foo cannot be read: an option is written without dashes"),
    "flag among the options": (
        "seed=1 -m model.filters=2",
        "model.filters=2 comes after a flag",
        "before all options",
    ),
    "flags that exclude each other": ("--cfg job -m", "Only one of --run, --multirun, --cfg"),
    "package of nothing": ("--package model", "--package=model needs --cfg"),
    "long dash for a flag": (["–m"], "(it holds a en dash)", "did you mean -m?"),
    "minus sign of typesetters": (
        ["model.dropout=−0.5"],
        "(it holds a minus sign)",
        "did you mean model.dropout=-0.5?",
    ),
    "no-break space": (
        ["model.dropout=0.5\xa0"],
        "model.dropout=0.5\\xa0",
        "no-break space",
        "did you mean model.dropout=0.5?",
    ),
    "curly quotes": (
        ["tracking.run_name=“a b”"],
        "left double quotation mark",
        'did you mean tracking.run_name="a b"?',
    ),
    "decimal comma": ("model.dropout=0,5", "as model.dropout=0.5 with a decimal point", "-m"),
    "comma for thousands": ("data.limit=1,000", "as data.limit=1000 without a comma"),
    "decimal comma in a sweep": ("-m model.dropout=0,5", "job 2 of 2: model.dropout=5 is not allowed"),
    "comma at the end": ("-m model.filters=16,", "model.filters=16, cannot be read", "did you mean model.filters=16?"),
    "parentheses for a list": ("model.dropout=(0.1,0.2)", "cannot be read", "a list is written [a,b]"),
    "home folder": (
        "data=npz data.path=~/x",
        "data.path=~/x cannot be read",
        "\"data.path='~/x'\"",
        "data.path is missing",
    ),
    "text with parentheses": (
        ["tracking.run_name=my (first) run"],
        "did you mean \"tracking.run_name='my (first) run'\"?",
    ),
    "brackets in brackets": ("model.filters=" + "[" * 500 + "]" * 500, "cannot be read", "40 brackets"),
    "line break in a value": (["model.activation='re\nlu'"], "model.activation=re\\nlu is not allowed"),
    "escape sequence": (["model.activation='\x1b[2Jrelu'"], "model.activation=\\x1b[2Jrelu is not allowed"),
    # Hydra's grammar.
    "plus before what exists": ("+model.filters=16", "+model.filters=16 is not", "change it with model.filters=16"),
    "plus before a group": ("+model=mlp", "+model=mlp is not allowed", "change it with model=mlp"),
    "two plus before a group": ("++model=mlp", "++model=mlp is not allowed", "change it with model=mlp"),
    "two plus before a typo": ("++model.fliters=16", "did you mean model.filters?"),
    "group into a package": ("model@net=mlp", "model@net=mlp is not supported", "choose with model=mlp"),
    "option into a package": ("seed@net=3", "seed@net=3 does not exist", "is for groups"),
    "list for a group": ("model=[]", "model is missing", "model=NAME"),
    "section for a group": ("model={fliters:16}", "model.fliters does not exist", "did you mean model.filters?"),
    "unknown inside a section": ("hydra.run={dri:x}", "hydra.run.dri does not exist", "did you mean hydra.run.dir?"),
    "required option removed": ("~data.name", "data.name is missing", "must be text"),
    "target removed": ("~model._target_", "model._target_ is missing", "mnist_exp.models.NAME"),
    "another value removed": ("~model.filters=3", "model.filters is 32"),
    "another choice removed": ("~model=mlp", "~model=mlp is not allowed", "model=NAME"),
    "nothing removed": ("~modle", "modle does not exist", "did you mean model?"),
    "two values of which one is wrong": ("model.filters=16 model.filters=0", "model.filters=0 is not allowed"),
    "interpolation that leads nowhere": (
        "model.filters=${fitlers}",
        "model.filters=${fitlers} cannot be resolved",
        "'fitlers'",
    ),
    "interpolation that leads to itself": ("seed=${seed}", "seed=${seed} cannot be resolved", "Recursive"),
    "variable that is not set": (
        "data.path=${oc.env:MNIST_EXP_NOWHERE}",
        "data.path=${oc.env:MNIST_EXP_NOWHERE} cannot be resolved: Environment variable",
    ),
    "unknown resolver": ("seed=${random:3}", "seed=${random:3} cannot be resolved", "random"),
    "interpolation in a section of the sweep": (
        "-m seed=1,2 sweep.n_trials=${n}",
        "sweep.n_trials=${n} cannot be resolved",
    ),
    "interpolation that is not closed": ("model.filters=${seed", "a bracket or quote is not closed"),
    "value by an interpolation": ("model.filters=${data.name}", "model.filters=mnist is not allowed"),
    "typo in a section of Hydra": ("hydra.run.dri=x", "hydra.run.dri does not exist", "did you mean hydra.run.dir?"),
    "added to Hydra": ("+hydra.lancher.n_workers=2", "hydra.lancher does not exist", "did you mean hydra.launcher?"),
    "launcher as a value": ("hydra.launcher=local", "hydra.launcher=local is not allowed", "hydra/launcher=NAME"),
    "unknown launcher": ("hydra/launcher=nix", "hydra/launcher=nix does not exist", "local, ray, slurm"),
    "unknown sweeper": ("hydra/sweeper=optuna", "hydra/sweeper=optuna does not exist", "plug-in"),
    "sweeper that our launcher does not know": ("-m hydra/sweeper=basic seed=1,2", "add hydra/launcher=basic"),
    "another configuration of Hydra": ("hydra=foo", "hydra=foo does not exist"),
    "wrong switch of Hydra": ("hydra.job.chdir=maybe", "hydra.job.chdir=maybe is not allowed", "bool"),
    "verbosity": ("hydra.verbose=3", "hydra.verbose=3 is not allowed", "true, false or a list"),
    "level of the log": ("hydra.job_logging.root.level=LOUD", "root.level=LOUD is not allowed", "WARNING"),
    "search path": ("hydra.searchpath=[/no/such]", "hydra.searchpath: /no/such is not a folder"),
    "variable for the jobs": ("hydra.job.env_set.X=1", "add it with +hydra.job.env_set.X=1"),
    "variable for the jobs that is not set": (
        "hydra.job.env_copy=[NOWHERE_X]",
        "hydra.job.env_copy=['NOWHERE_X'] is not",
    ),
    "presets that are no section": ("-m hydra.sweeper.params=3", "hydra.sweeper.params=3 is not allowed", "a section"),
    # A name in the registry.
    "champion chosen on the test set": (
        "tracking.register_as=digits",
        "tracking.register_as=digits would select on the test set",
        "data.validation=0.1",
    ),
    "name with a slash": ("tracking.register_as=a/b data.validation=0.1", "tracking.register_as=a/b", "without / : @"),
    # Going on with a run.
    "not a run id": ("resume=latest", "resume=latest is no run id", "32 characters of 0-9 and a-f"),
    "none for null": ("resume=None", "resume=None is no run id"),
    "number for a run id": ("resume=123", "resume=123 is no run id"),
    "way out of a folder": ("resume=../../etc", "resume=../../etc is no run id"),
    "run id in capitals": (f"resume={RUN_ID.upper()}", "is no run id"),
    "unknown run": (f"resume={RUN_ID}", f"there is no run {RUN_ID} in sqlite:///mlflow.db", "mlflow ui"),
    "run that no store keeps": (f"resume={RUN_ID} tracking=none", "tracking.store=none keeps no runs"),
    "resumed sweep": (f"-m resume={RUN_ID}", "job 1 of 1", "is for one run by itself"),
    "resumed and mistaken": (f"resume={RUN_ID} model.dorpout=1", "did you mean model.dropout?"),
    "two runs": (f"resume={RUN_ID},{RUN_ID}", "names several values"),
    # Sweeps at the border.
    "range that leads nowhere": ("-m model.filters=range(1,0)", "cannot be swept over: it has no value"),
    "range without a step": ("-m model.filters=range(1,9,0)", "model.filters=range(1,9,0)", "its step is zero"),
    "range of words": ("-m model.filters=range(a,b)", "model.filters=range(a,b) cannot be read", "str"),
    "range without an end": ("-m seed=range(1,1e400)", "has endlessly many values", "interval"),
    "too many values": ("-m seed=range(0,100000)", "seed=range(0,100000) has 100,000 values", "10,000 at the most"),
    "too many small steps": ("-m model.dropout=range(0,1,1e-9)", "has 1,000,000,000 values"),
    "too many jobs": (
        "-m seed=range(0,1000) model.filters=range(1,101)",
        "this sweep has 100,000 jobs: seed 1,000 × model.filters 100",
        "sweep.sampler=random",
    ),
    "no choice": ("-m model.filters=choice()", "model.filters=choice() cannot be read", "empty choice"),
    "pattern of no choice": ("-m model=glob(x*)", "model=glob(x*)", "it has no value"),
    "pattern for an option": ("-m model.filters=glob(*)", "model.filters=glob(*)", "it has no value"),
    "values that cannot be sorted": ("-m model.filters=sort(a,1)", "model.filters=sort(a,1) cannot be read"),
    "nothing to shuffle": ("-m model.filters=shuffle()", "model.filters=shuffle()", "it has no value"),
    "tag of a number": ("-m model.filters=tag(a,1)", "model.filters=tag(a,1) cannot be read"),
    "distribution of another program": (
        "-m model.dropout=uniform(0,1)",
        "unknown function 'uniform'",
        "choice, range, interval",
    ),
    "interval without an end": ("-m model.dropout=interval(0.1)", "missing a required argument: 'end'"),
    "logarithmic from zero": (
        "-m optimizer.learning_rate=tag(log,interval(0,1)) data.validation=0.1",
        "the start 0.0 of a logarithmic interval must be above 0",
    ),
    "no trials": ("-m seed=1,2 sweep.n_trials=0", "sweep.n_trials=0", "at least 1"),
    "no time": ("-m seed=1,2 sweep.timeout_s=0", "sweep.timeout_s=0", "above 0 or null"),
    "seed of a search": ("-m seed=1,2 sweep.seed=-1", "sweep.seed=-1", "at least 0"),
    "unknown pruner": ("-m seed=1,2 sweep.pruner=ashaa", "did you mean sweep.pruner=asha?"),
    "pruned before the first epoch": ("-m seed=1,2 sweep.prune_after=0", "sweep.prune_after=0", "at least 1"),
    "unknown second objective": ("-m seed=1,2 sweep.minimize_too=loss", "sweep.minimize_too=loss", "one of parameters"),
    "storage that is a number": ("-m seed=1,2 sweep.storage=3", "sweep.storage=3", "text or null"),
    "zip that is no switch": ("-m seed=1,2 sweep.zip=maybe", "sweep.zip=maybe", "true or false"),
    "no points": ("-m sweep.points=[]", "sweep.points=[]", "a list of combinations"),
    "point of the store": ("-m sweep.points=[{tracking.uri:a}]", "tracking.uri cannot be swept over"),
    "swept over twice": (
        "-m sweep.points=[{seed:1}] seed=1,2",
        "seed is swept over both on its own and in sweep.points",
    ),
    "rate of failures": ("-m seed=1,2 sweep.max_failure_rate=2", "sweep.max_failure_rate=2", "above 0 and below 1"),
    "time of a job": ("-m seed=1,2 sweep.job_timeout_s=-1", "sweep.job_timeout_s=-1", "above 0 or null"),
    "reuse that is no switch": ("-m seed=1,2 sweep.reuse=2", "sweep.reuse=2", "true or false"),
    "sweep removed": ("-m ~sweep seed=1,2", "sweep is missing"),
    "workers swept over": ("-m hydra.launcher.n_workers=1,2", "hydra.launcher.n_workers=1,2"),
    "model without the swept option": (
        "-m model=cnn,mlp model.filters=16,32",
        "job 3 of 4: model.filters does not exist here",
    ),
    "direction of one objective": ("-m objective=val_loss,val_accuracy", "job 1 of 2: direction=maximize does not fit"),
    "interpolation in a sweep": ("-m model.filters=${foo},3", "job 1 of 2: model.filters=${foo} cannot be resolved"),
    "typo in a sweep": ("-m foo=1,2", "job 1 of 2: foo does not exist"),
}
OWN_FILES = {
    "open bracket in YAML": ("model", "_target_: [mnist_exp.models.cnn", "model=own cannot be used", "own.yaml, line"),
    "tab in YAML": (
        "model",
        "_target_: mnist_exp.models.cnn\n\tfilters: 3\n",
        "model=own cannot be used: a tab, where YAML takes only blanks, in",
        "own.yaml, line 2",
    ),
    "option twice in YAML": (
        "model",
        "_target_: mnist_exp.models.cnn\nfilters: 3\nfilters: 4\n",
        "duplicate key filters",
        "line 3",
    ),
    "blank missing in YAML": ("model", "_target_:mnist_exp.models.cnn\nfilters: 3\n", "own.yaml, line 2"),
    "unknown alias in YAML": ("model", "_target_: mnist_exp.models.cnn\nfilters: *x\n", "undefined alias", "line 2"),
    "code in YAML": (
        "model",
        "filters: !!python/object/apply:os.system ['echo']\n",
        "could not determine a constructor",
    ),
    "not UTF-8": ("model", b"# gr\xf6\xdfe\n_target_: mnist_exp.models.cnn\n", "not text in UTF-8", "byte 5 is 0xf6"),
    "group that names itself": (
        "model",
        "defaults:\n  - own\n_target_: mnist_exp.models.cnn\n",
        "it leads back to itself",
    ),
    "group that builds on nothing": (
        "model",
        "defaults:\n  - nnc\n_target_: mnist_exp.models.cnn\n",
        "model=nnc does not exist",
    ),
    "typo in a target": ("model", "_target_: mnist_exp.models.cnnn\n", "did you mean mnist_exp.models.cnn?"),
    "typo in _target_": (
        "model",
        "_taget_: mnist_exp.models.cnn\n",
        "model._target_ is missing",
        "did you write _taget_?",
    ),
    "empty file": ("model", "", "model._target_ is missing"),
    "list in a file": ("model", "- 1\n- 2\n", "model=[1, 2] is not allowed", "a section of options"),
    "header that is not finished": ("model", "# @package\n_target_: mnist_exp.models.cnn\n", "header format"),
    "interpolation in a file": (
        "model",
        "_target_: mnist_exp.models.cnn\nfilters: ${no}\n",
        "model.filters=${no} cannot",
    ),
    "experiment of an unknown group": (
        "experiment",
        "# @package _global_\ndefaults:\n  - override /modle: mlp\n",
        "experiment=own cannot be used: modle does not exist: did you mean model?",
    ),
    "experiment that overrides what is not chosen": (
        "experiment",
        "# @package _global_\ndefaults:\n  - override /model@net: mlp\n",
        "experiment=own cannot be used: model@net is overridden, and nothing before it chooses model@net",
    ),
    "experiment of an unknown choice": (
        "experiment",
        "# @package _global_\ndefaults:\n  - override /model: mlpp\n",
        "experiment=own cannot be used: model=mlpp does not exist: did you mean model=mlp?",
    ),
    "experiment without override": (
        "experiment",
        "# @package _global_\ndefaults:\n  - /model: mlp\n",
        "experiment=own cannot be used: Multiple values for model",
    ),
    "experiment without its header": ("experiment", "model:\n  filters: 3\n", "`# @package _global_`"),
    "experiment with a typo": (
        "experiment",
        "# @package _global_\nmodel:\n  fliters: 3\n",
        "did you mean model.filters?",
    ),
    "experiment out of range": ("experiment", "# @package _global_\ntrainer:\n  epochs: 0\n", "trainer.epochs=0"),
    "experiment with an unknown section": (
        "experiment",
        "# @package _global_\ntrianer:\n  epochs: 1\n",
        "did you mean trainer?",
    ),
    "experiment with a typo for Hydra": (
        "experiment",
        "# @package _global_\nhydra:\n  run:\n    dri: 3\n",
        "experiment=own cannot be used",
        "'dri'",
    ),
    "experiment for another optimizer": (
        "experiment",
        "# @package _global_\ndefaults:\n  - override /optimizer: sgd\noptimizer:\n  beta_1: 0.5\n",
        "optimizer.beta_1 does not exist",
    ),
}
ENVIRONMENT = {
    "variable for data that names nothing": (
        {"MNIST_EXP_DATA": "/no/such"},
        "$MNIST_EXP_DATA=/no/such is not a folder",
    ),
    "variable for data that names a file": ({"MNIST_EXP_DATA": "text.db"}, "$MNIST_EXP_DATA=text.db is not a folder"),
    "variable for data without data": ({"MNIST_EXP_DATA": "."}, "$MNIST_EXP_DATA=. holds neither mnist.npz nor"),
    "variable for data of a name too long": ({"MNIST_EXP_DATA": "x" * 5000}, "is not a folder"),
    "variable for the store of an unknown kind": (
        {"MLFLOW_TRACKING_URI": "ftp://x"},
        "$MLFLOW_TRACKING_URI=ftp://x is not",
    ),
    "variable for the store that is a folder": (
        {"MLFLOW_TRACKING_URI": "mlruns"},
        "$MLFLOW_TRACKING_URI=mlruns: MLflow keeps",
    ),
    "variable for the store that is no address": ({"MLFLOW_TRACKING_URI": "http://[::1"}, "http://[::1 is no address"),
    "variable for the store with no port": ({"MLFLOW_TRACKING_URI": "http://h:abc"}, "http://h:abc: nothing answers"),
    "variable for the store of blanks": ({"MLFLOW_TRACKING_URI": "  "}, "$MLFLOW_TRACKING_URI='  '"),
    "variable for the store with a password": (
        {"MLFLOW_TRACKING_URI": "postgresql://me:pass@127.0.0.1:abc/x"},
        "$MLFLOW_TRACKING_URI=postgresql://***@127.0.0.1:abc/x",
    ),
}
WITH_DATA = {
    "images of a wrong shape": ("shape.npz", "x_train has examples of (784,) and x_test of (28, 28, 1)", "alike"),
    "pixels as text": ("dtype.npz", "x_train holds <U1 values", "uint8"),
    "NaN pixels": ("nan.npz", "x_train has NaN in example 3, the first at [3, 5, 5]"),
    "missing array": ("missing.npz", "lacks the array y_test"),
    "pickled objects": ("pickle.npz", "Python objects"),
    "not an npz file": ("text.db", "not a readable npz file"),
    "empty npz file": ("nothing.npz", "not a readable npz file"),
    "npz file that is cut off": ("cut.npz", "cut.npz is not a readable npz file"),
    "folder for an npz file": (".", ". is not a readable npz file", "it is a folder with"),
    "name that is too long": ("x" * 5000, "data.path=xxx", "does not exist"),
    "place without a name": ("''", "data.path='' does not exist"),
}
WITH_FOLDERS = {
    "file for a folder of images": ("data=image_folder data.path=text.db", "data.path=text.db is not a folder"),
    "folder without images": ("data=image_folder data.path=empty_folder", "0 subfolders"),
    "folder without MNIST": ("data.path=empty_folder", "data.path=empty_folder holds neither mnist.npz nor"),
    "text for MNIST": ("data.path=text.db", "text.db is not a readable npz file"),
    "IDX file that is cut off": ("data.path=idx_cut", "train-images-idx3-ubyte.gz cannot be read", "ended before"),
    "IDX file of another kind": ("data.path=idx_magic", "train-images-idx3-ubyte is not an IDX file", "61626364"),
    "empty IDX file": ("data.path=idx_empty", "train-images-idx3-ubyte is not an IDX file", "nothing"),
    "folder for an IDX file": ("data.path=idx_folder", "it lacks train-images-idx3-ubyte"),
    "other digits for MNIST": ("data.path=idx_other", "data.path=idx_other is not the MNIST that was published"),
}
# What else is wrong then.
MORE_THAN_ONE = {
    "home folder": 2,
}
SEVERAL = (
    "model.dropout=1.5 model.fliters=3 optimizer=adamm trainer.epochs=0 data=npz data.path=/no tracking.uri=/tmp/r"
)
WORKER = """
import contextlib, io, json, os, sys
from mnist_exp.run_command import launch
HEAVY = {"tensorflow", "keras", "mlflow", "jax", "torch", "matplotlib", "pandas"}
heavy = []
def refuse(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] in HEAVY:
        heavy.append(arguments[0])
        raise ImportError(f"{arguments[0]} was imported")
sys.addaudithook(refuse)
results = []
for arguments, environment in json.load(sys.stdin):
    heavy.clear()
    os.environ.update(environment)
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["run.py", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = launch()
        except BaseException as leaving:
            code = repr(leaving)
    for name in environment:
        del os.environ[name]
    results.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "heavy": list(heavy)})
print("RESULTS" + json.dumps(results))
"""
CASES = {name: (case[0], {}, case[1:]) for name, case in (MISTAKES | WITH_FOLDERS).items()}
CASES |= {name: (f"data=npz data.path={case[0]}", {}, case[1:]) for name, case in WITH_DATA.items()}
CASES |= {
    name: (f"--config-dir {name.replace(' ', '_')} {case[0]}=own", {}, case[2:]) for name, case in OWN_FILES.items()
}
CASES |= {name: ("data.mirrors=[]", case[0], case[1:]) for name, case in ENVIRONMENT.items()}


@pytest.fixture(scope="module")
def results(tmp_path_factory, digits):
    """The output of each command line; two processes that import nothing heavy run all of them."""
    folder = tmp_path_factory.mktemp("mistakes")
    _write_bad_arrays(folder, digits)
    _write_bad_folders(folder, digits)
    for name, case in OWN_FILES.items():
        place = folder / name.replace(" ", "_") / case[0]
        place.mkdir(parents=True)
        (place / "own.yaml").write_bytes(case[1] if isinstance(case[1], bytes) else case[1].encode())
    lines = {}
    for name, (line, environment, _) in CASES.items():
        words = line if isinstance(line, list) else [line] if "'" in line and "''" not in line else line.split(" ")
        lines[name] = (words, environment)
    lines["several"] = (SEVERAL.split(), {})
    lines["sweep twice"] = (["-m", "seed=range(0,200)", "model.filters=0"], {})
    lines["folder that hides ours"] = (["--config-dir", "hiding"], {})
    lines["help"] = (["--help"], {})
    lines["configuration"] = (["--cfg", "job", "model=mlp"], {})
    environment = {n: v for n, v in os.environ.items() if n not in ("MNIST_EXP_DATA", "MLFLOW_TRACKING_URI")}
    environment["KERAS_HOME"] = str(folder / "keras")

    def tell(names):
        done = subprocess.run(
            [sys.executable, "-c", WORKER],
            input=json.dumps([lines[name] for name in names]),
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return zip(names, json.loads(done.stdout.rpartition("RESULTS")[2]), strict=True)

    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(tell, (list(lines)[::2], list(lines)[1::2]))
    files = sorted(path.name for path in folder.iterdir())
    return dict(itertools.chain(*halves)) | {"files": files}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_mistake_is_explained(results, name):
    result = results[name]
    assert result["code"] == 2, result
    for words in CASES[name][2]:
        assert words in result["err"]
    for words in ("Traceback", "HYDRA_FULL_ERROR", "AssertionError", "Error executing job"):
        assert words not in result["err"]
    head, *sentences = result["err"].splitlines()
    assert head == f"{len(sentences)} mistake{'s' * (len(sentences) > 1)} in the configuration; nothing was run:"
    assert len(sentences) == MORE_THAN_ONE.get(name, 1)
    assert result["heavy"] == []


@pytest.mark.slow
def test_several_mistakes_are_reported_together(results):
    result = results["several"]
    assert result["code"] == 2
    assert result["err"].splitlines()[0].startswith("6 mistakes")
    for name in (
        "model.dropout",
        "model.fliters",
        "optimizer=adamm",
        "trainer.epochs",
        "data.path=/no",
        "tracking.uri",
    ):
        assert name in result["err"]


@pytest.mark.slow
def test_checking_a_sweep_stops_after_ten_mistakes(results):
    assert results["sweep twice"]["code"] == 2
    assert "job 1 of 200: model.filters=0 is not allowed" in results["sweep twice"]["err"]
    assert "190 more jobs were not checked: 10 have mistakes already" in results["sweep twice"]["err"]


@pytest.mark.slow
def test_user_file_that_would_be_ignored_is_a_mistake(results):
    assert results["folder that hides ours"]["code"] == 2
    assert "model/cnn.yaml would not be used" in results["folder that hides ours"]["err"]


def test_run_of_another_process_is_no_mistake(tmp_path, capsys):
    held, wanted = RunFolder(tmp_path / RUN_ID), RunFolder(tmp_path / RUN_ID)
    held.claim()
    with pytest.raises(BusyError) as error:
        wanted.claim()
    print_problems(error.value.problems, "configuration", is_busy=True)
    held.release()
    assert capsys.readouterr().err.startswith(f"nothing was run:\n  run {RUN_ID} is being worked on by another process")


@pytest.mark.slow
def test_nothing_was_recorded(results):
    assert not [name for name in results["files"] if name.startswith("ml")]


@pytest.mark.slow
def test_help_shows_groups_options_and_meanings(results):
    page = results["help"]["out"]
    assert results["help"]["code"] == 0
    assert results["help"]["heavy"] == []
    assert "cnn*, convnet, lenet5, mlp, resnet" in page
    options = [line for line in page.splitlines() if line.startswith("  ") and "." in line.split()[0]]
    assert len([line for line in options if line.split()[0].partition(".")[0] in ("model", "trainer", "data")]) > 12
    assert all(len(line) > 54 for line in options if not line.startswith("  python")), "an option has no meaning"


@pytest.mark.slow
def test_cfg_prints_the_configuration(results):
    assert results["configuration"]["code"] == 0
    assert "hidden_units" in results["configuration"]["out"]
    assert results["configuration"]["heavy"] == []


def _write_bad_arrays(folder, digits):
    (x, y), (x_test, y_test) = digits
    chosen = np.sort(np.concatenate([np.flatnonzero(y == label)[:10] for label in range(10)]))
    good = {"x_train": x[chosen], "y_train": y[chosen], "x_test": x_test[::10], "y_test": y_test[::10]}
    nan = good["x_train"].astype("float32")
    nan[3, 5, 5] = np.nan
    bad = {
        "shape": {"x_train": good["x_train"].reshape(100, 784)},
        "dtype": {"x_train": np.full((100, 28, 28), "a")},
        "nan": {"x_train": nan, "x_test": good["x_test"].astype("float32")},
        "pickle": {"x_train": np.array([{}, []], dtype=object)},
    }
    for name, change in bad.items():
        np.savez(folder / f"{name}.npz", **(good | change))
    np.savez(folder / "missing.npz", **{k: v for k, v in good.items() if k != "y_test"})
    (folder / "text.db").write_text("this is neither a database nor an archive")
    (folder / "nothing.npz").touch()
    (folder / "cut.npz").write_bytes((folder / "missing.npz").read_bytes()[:5000])
    (folder / "hiding" / "model").mkdir(parents=True)
    (folder / "hiding" / "model" / "cnn.yaml").write_text("_target_: my_pkg.nets.cnn")


def _write_bad_folders(folder, digits):
    (x, y), (x_test, y_test) = digits
    arrays = {"train-images-idx3": x, "train-labels-idx1": y, "t10k-images-idx3": x_test, "t10k-labels-idx1": y_test}
    files = {
        f"{name}-ubyte": struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
        for name, array in arrays.items()
    }
    images = "train-images-idx3-ubyte"
    changes = {
        "cut": {f"{images}.gz": gzip.compress(files[images])[:5000]},
        "magic": {images: b"abcd" * 100},
        "empty": {images: b""},
        "folder": {},
        "other": {images: files[images]},
    }
    for name, change in changes.items():
        place = folder / f"idx_{name}"
        place.mkdir()
        for file, content in (files | {images: None} | change).items():
            if content is not None:
                (place / file).write_bytes(content)
    (folder / "idx_folder" / images).mkdir()
    (folder / "empty_folder").mkdir()
