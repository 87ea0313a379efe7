"""One file a format, reading and writing side by side. Nothing in a foreign file runs, sizes are bounded.

Others take from `amc`, `asf`, `bvh`, `bvh_writer`, `c3d`, `cdf`, `coco_results`, `even`, `files`, `glb`, `h5`,
`keypoints`, `mat`, `motion_csv`, `motion_json`, `motion_npz`, `npz`, `plain_pickle`, `renewed_file`, `sink`, `spool`,
`tf_checkpoint`, `trc`; the rest is the room's own.
"""
