"""From a video, a webcam, pictures or keypoints to motion.    python predict.py source=my.mp4"""

from hydra.utils import instantiate
from omegaconf import DictConfig

from anypose.engine.command import command
from anypose.engine.device import Device
from pose3d.predict.job import Job, each_source
from pose3d.predict.pipeline import Pipeline


@command("predict", each_source)
def main(cfg: DictConfig) -> float:
    """Write the motion of every source in every format asked for; return the frames a second."""
    device: Device
    with instantiate(cfg.device) as device:
        job = Job(cfg)
        pipeline = Pipeline(**job.settings, where=str(device.torch))
        for source in job.stems:
            if job.is_done(source):
                continue
            with job.writing(source, pipeline) as sinks:
                for motion, pictures in pipeline.run(source, sinks.pictures, sinks.caught):
                    sinks.write(motion, pictures)
    return job.report()


if __name__ == "__main__":
    main()
